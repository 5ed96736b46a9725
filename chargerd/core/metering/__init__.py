"""What readings add up to: values and their age, warmth of wires, frozen meters, the shape of a charge, totals."""
