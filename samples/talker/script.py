"""What the sample talker says, and how she pauses.

Each line is (text, pause after it in seconds, how the mouth waits). A mouth waits "closed", "parted", or first closed
and then opened for breath ("breath").
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One sentence, the silence after it in seconds, and the mouth during that silence."""

    text: str
    pause: float
    wait: str


LEAD_IN = Line("", 0.56, "breath")

FILM = (
    Line("Hello there, and welcome!", 0.52, "parted"),
    Line("My name is Vera, and I have never existed.", 0.92, "closed"),
    Line("Every freckle you can see was drawn by a small program.", 0.60, "breath"),
    Line("Somebody wrote down the rules, and a patient computer followed them, frame by frame.", 0.80, "parted"),
    Line("Still, I enjoy my work.", 0.52, "closed"),
    Line("On a bright morning the boats leave the harbour, five by five, before the fog has moved away.", 0.88, "breath"),
    Line("Whoever measures the light upon the water finds blue, silver, and a pale shade of rose.", 0.72, "parted"),
    Line("Do you hear how my mouth changes?", 0.56, "closed"),
    Line("Wide for cheese, round for moon, closed for a purple bumble bee.", 0.84, "breath"),
    Line("Now, why would anybody build a face out of numbers?", 0.64, "parted"),
    Line("Because a made up person can be shared with everyone, and nobody's privacy is harmed.", 0.96, "closed"),
    Line("Please borrow my voice, test your favourite model, and show me what you have found.", 0.60, "breath"),
    Line("I promise to keep smiling through every evening of your project.", 0.72, "parted"),
    Line("Thank you for watching, and goodbye for now!", 0.48, "closed"),
)

SENTENCE = (
    Line("Good afternoon, dear friends.", 0.84, "closed"),
    Line("Today I will read you something new, which I have never said before.", 0.32, "closed"),
)
