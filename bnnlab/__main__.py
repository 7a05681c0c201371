"""`python -m bnnlab`."""

from bnnlab.cli import main

if __name__ == "__main__":
    main()
