"""Every figure of the card, measured from exported weights; a file a group, each figure with n and its interval."""
