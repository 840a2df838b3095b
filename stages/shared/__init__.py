"""What the stages share: how they are run, what they tell of while they run."""
