"""Lists of spikes: how images become them, how they are stored, how they are counted."""
