"""Speech as numbers, 50 a second, behind one port (`features.AudioFeatures`)."""
