"""What another generation changes for users, from the same questions asked of both."""
