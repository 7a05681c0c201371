"""The ledger projected into MLflow. No other room knows MLflow."""
