"""What `analyse` finds out, each as one table and a plot."""
