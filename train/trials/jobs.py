"""The jobs of distil.py: python train/trials/jobs.py WORK."""
import json, sys
jobs = []
def add(name, **k): jobs.append({"name": name, **k})
for s in range(8): add(f"teach-{s}", kind="mp", seed=s, lr=5e-5, epochs=2 + s % 2, label=True, needs=90)
R = [["r0"], ["r1"], ["r2"], ["r3"]]
st = dict(kind="ml", lr=1e-4, news=[["r0"]], share=.7)
for s in range(5): add(f"ref-{s}", **st, seed=s, soft="t0")
rec = {
 "A": (4, dict()),                       # as before, of eight teachers
 "B": (4, dict(news=R)),                 # other new readings each epoch
 "C": (3, dict(news=R, share=1.0)),
 "D": (3, dict(news=R, T=1.0)),
 "E": (3, dict(news=[["r0", "x0"], ["r1", "x1"], ["r2", "x0"]])),  # and replies beside another conversation's client turn
 "F": (5, dict(news=R, lr=2e-4)),
 "G": (3, dict(news=R, epochs=6, needs=50)),
 "H": (3, dict(news=R, lr=2e-4, epochs=2)),
 "I": (2, dict(news=R, lr=2e-4, share=1.0)),
 "J": (2, dict(news=R, lr=4e-4, share=1.0)),
 "K": (1, dict(news=[["r0", "x0"], ["r1", "x1"], ["r2", "x0"]], lr=2e-4)),
 "L": (2, dict(news=R, lr=2e-4, share=1.0, T=4.0)),
}
for n, (seeds, c) in rec.items():
    for s in range(seeds): add(f"{n}-{s}", **{**st, **c}, seed=s, soft="ens")
json.dump(jobs, open(sys.argv[1] + "/jobs.json", "w"))
