"""Whether a slick could have been seen: at which incidence angles, and in which winds."""
