"""A small operator on the public contract: a ledger, prices, a page for riders and one for whoever runs the sheds.

It imports nothing of the daemon: what it knows of gateways is what `docs/mqtt.md` says. Whoever begins with it
takes this folder along; whoever has a backend of their own compares. What a real operator has to add stands in
`docs/operator.md`.
"""
