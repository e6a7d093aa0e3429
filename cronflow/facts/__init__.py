"""ANSWERS questions about jobs and history, for every screen. It reads; it changes nothing and draws nothing."""
