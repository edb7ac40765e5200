"""Rows of one length, several in a call: python train/trials/batch.py MODEL_DIR. Kept in history only."""
import time, numpy as np, sys
from asif_serve.predictor import load_predictor, open_session
from pathlib import Path
f=Path(sys.argv[1]).resolve()
files=[x for x in f.rglob("*.onnx")]
for file in files:
    s=open_session(file,1)
    names=[i.name for i in s.get_inputs()]
    rng=np.random.default_rng(0)
    res={}
    for L in (40,57,90):
        times={b:[] for b in (1,2,4,8)}
        for rep in range(12):
            for b in times:
                ids=rng.integers(1000,20000,(b,L)); 
                feed={"input_ids":ids,"attention_mask":np.ones_like(ids),"token_type_ids":np.zeros_like(ids)}
                feed={k:v for k,v in feed.items() if k in names}
                t=time.thread_time(); s.run(["logits"],feed); times[b].append((time.thread_time()-t)/b)
        res[L]={b:round(1e3*float(np.median(v)),2) for b,v in times.items()}
    print(file.name,names,res)
