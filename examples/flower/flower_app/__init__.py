"""An app of Flower: pictures of ten kinds at clients that have unequally many of them."""
