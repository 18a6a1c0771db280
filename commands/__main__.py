"""The console script without its installation: `python -m commands VERB`."""

from commands.app import main

if __name__ == "__main__":
    main()
