"""Master flats, illumination and the non-uniformity of the pixels' response."""
