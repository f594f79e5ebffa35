"""Pictures and plots of what an evaluation found."""
