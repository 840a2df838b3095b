"""The compiled kernel of the augmentation."""
