"""`python -m anirec` is `anirec`."""

from anirec.cli import main

if __name__ == "__main__":
    main()
