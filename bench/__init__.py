"""What the whole path costs, each figure beside a baseline of the same minute: `make bench`."""
