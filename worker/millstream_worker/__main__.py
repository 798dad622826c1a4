"""`python -m millstream_worker`: the same as `millstream worker start`."""

from millstream_worker.cli import start

if __name__ == "__main__":
    start()
