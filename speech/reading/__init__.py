"""How text is read out: cleaned, cut into clauses, numbers and units put into words, words into phonemes."""
