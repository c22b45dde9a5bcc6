"""SIP redirect: an INVITE is answered with the Identity or the verdict, and goes nowhere itself."""
