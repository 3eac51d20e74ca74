"""What happens beside training: each file is one Lightning callback."""
