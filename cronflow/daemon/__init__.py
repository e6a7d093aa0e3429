"""ACTS. The only room with a clock: the loop, the control socket, the keepers' client, alerts, systemd's notify."""
