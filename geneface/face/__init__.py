"""The person: pose, pose-free motion, what is known of the face, and where in the picture it is drawn."""
