"""Sound and pictures: probing, decoding and encoding by ffmpeg as a process; faces and their landmarks.

Needs numpy and ffmpeg; only `media.faces` and `media.mesh` need mediapipe, and import it when they are first used.
"""
