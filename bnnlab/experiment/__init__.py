"""One run: a RunConfig trained into a RunRecord. Knows no sweep and no MLflow. May import nn, models, data."""
