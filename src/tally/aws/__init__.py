"""What speaks to AWS: the check of a deployment, requirement by requirement."""
