"""The programs that millstream was made for, as their authors wrote them, run as their users would run them."""
