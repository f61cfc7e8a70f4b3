"""What an image would get, found out before it is built; and the lock that the build keeps to."""
