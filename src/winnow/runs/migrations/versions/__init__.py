"""One file a migration; a file that has been released is never changed."""
