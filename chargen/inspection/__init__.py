"""Looking inside: surprise per character, states and gates, gradient reach, copied passages."""
