"""The frozen table of attempts, one file a group of kinds. A row's name is the name of the hostile code's attempt."""
