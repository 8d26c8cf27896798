"""What clients asked and were answered, and two checkers that judge whether one bank could have answered so."""
