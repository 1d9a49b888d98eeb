"""What can be broken on purpose in a command's process: to inject a fault, or to see that the suite notices."""
