"""The operator's doors. A command reads its options, asks one room, and prints; errors are one line."""
