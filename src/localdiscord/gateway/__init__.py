"""The websocket edge: frames, compression, heartbeats and the opcodes."""
