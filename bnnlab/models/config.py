"""Which network a run trains, as a value. Free of torch. (To be derived from the variants' signatures.)"""
