"""`python -m millstream.cli`, for when the `millstream` command is not on the PATH."""

from millstream.cli.main import main

if __name__ == "__main__":
    main(prog_name="millstream")
