"""What is wrong with a board, and what to do about it. Standard library only: nothing need be installed for it."""
