"""What ``check_reward`` looks at, measures, and says."""
