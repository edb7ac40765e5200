"""Forms of int8 beside fp32: python train/trials/forms.py CORPUS ROWS TOKENWISE.py MODEL_DIR... ; TOKENWISE.py is quantization.py of commit 6cfa4d7. Kept in history only."""
import sys, json, glob, time, tempfile, warnings
from pathlib import Path
import numpy as np, onnx, torch
torch.set_num_threads(1)
import transformers; transformers.logging.set_verbosity_error()
from transformers import AutoModelForSequenceClassification as A
from sklearn.metrics import f1_score
from asif_data.encoding import InputEncoder, Utterance
from asif_data import model_dir
from asif_data.rows import Row
from asif_serve.decision import decide
from asif_serve.predictor import open_session, run_session
from asif_train.corpus import read_corpus
from asif_train.export import fused
from asif_train.graph import first_token_only, spell_out_norms
from asif_train import quantization as Q
import importlib.util
spec=importlib.util.spec_from_file_location("qtok",sys.argv[3]); QT=importlib.util.module_from_spec(spec); sys.modules["qtok"]=QT; spec.loader.exec_module(QT)
c=read_corpus(sys.argv[1]); labels=tuple(c.labels.labels) if hasattr(c.labels,"labels") else tuple(c.labels)
real=[Row(**{k:v for k,v in json.loads(l).items() if k in("text","context","label","id","group")}) for l in open(sys.argv[2])]
val=c.validation
gold=lambda rows: np.array([labels.index(r.label) if r.label in labels else 3 for r in rows])
def answers(lg,cal):
    d=decide(lg,labels,cal); return np.array([3 if x.reason=="out_of_scope" else labels.index(x.best) for x in d]), np.array([x.reason=="uncertain" for x in d])
tmp=Path(tempfile.mkdtemp())
for s,d in enumerate(map(Path,sys.argv[4:])):
     cal=model_dir.load(d).manifest.calibration
    net=A.from_pretrained(d); enc=InputEncoder(d/"tokenizer.json",256)
    m=fused(net,tmp/"s.onnx"); first_token_only(m)
    rows=c.train; shown=enc([Utterance(r.text,r.context) for r in rows[::-(-len(rows)//128)]])
    sess={}
    def make(name,f):
        q=onnx.ModelProto(); q.CopyFrom(m); f(q); spell_out_norms(q); p=tmp/f"{name}.onnx"; onnx.save(q,str(p)); sess[name]=open_session(p,1)
    make("fp32",lambda q:None)
    def with_outlier(t):
        def f(q):
            Q._OUTLIER=t; Q.quantize(q,shown,tmp/"o.onnx"); Q._OUTLIER=5.0
        return f
    make("out5",with_outlier(5.0)); make("out10",with_outlier(10.0)); make("none",with_outlier(1e9))
    make("tok",lambda q:QT.quantize(q,shown,tmp/"o.onnx"))
    data={n:(enc([Utterance(r.text,r.context) for r in rs]),gold(rs)) for n,rs in (("real",real),("val",val[::3]))}
    t={k:0.0 for k in sess}; lg={}
    for n,(e,g) in data.items():
        outs={k:[] for k in sess}
        for i in range(0,len(e),10):
            for k,se in sess.items():
                a=time.thread_time(); outs[k].append(run_session(se,e[i:i+10])); t[k]+=time.thread_time()-a
        lg[n]={k:np.concatenate(v) for k,v in outs.items()}
    N=sum(len(e) for e,_ in data.values())
    for k in sess:
        out={"seed":s,"form":k,"ms":round(1e3*t[k]/N,2)}
        for n,(e,g) in data.items():
            a0,u0=answers(lg[n]["fp32"],cal); a,u=answers(lg[n][k],cal); ins=g<3
            out[n]={"changed":round(float(((a!=a0)|(u!=u0)).mean()),4),"rms":round(float(np.sqrt(((lg[n][k]-lg[n]["fp32"])**2).mean())),3),
              "f1":round(f1_score(g[ins],lg[n][k][ins].argmax(1),average="macro")-f1_score(g[ins],lg[n]["fp32"][ins].argmax(1),average="macro"),4),
              "f1n":round(f1_score(g,a,average="macro")-f1_score(g,a0,average="macro"),4)}
        print(json.dumps(out),flush=True)
