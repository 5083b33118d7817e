"""Work: tasks as values, done here, in processes of this machine or on a cluster, and what is done kept in a file."""
