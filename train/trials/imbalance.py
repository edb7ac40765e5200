"""python train/trials/imbalance.py OUT SEED MODE: fits where one label has 5 % of 800 training rows; plain, weighted or logit-adjusted loss. Kept in history only."""
import sys, json, time, random, tempfile
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from torch.nn import functional
from sklearn.metrics import f1_score, precision_recall_fscore_support
from asif_train import finetune
from asif_train.corpus import read_corpus
from asif_train.recipe import read_recipe
from asif_train.base_model import locate
from asif_train.dataset import targets
corpus=read_corpus("data/corpus")
RARE="over-identification"; ROWS, SHARE = 800, 0.05
marks=[*corpus.labels,"none"]
def sample(seed):
    draw=random.Random(seed); rows=[]
    few=round(ROWS*SHARE); rest=(ROWS-few)//3
    for m in marks:
        mine=[r for r in corpus.train if r.label==m]
        rows+=draw.sample(mine, few if m==RARE else rest)
    draw.shuffle(rows); return rows
def loss(priors, mode):
    logp=torch.tensor(np.log(priors),dtype=torch.float32); w=torch.tensor(1/(len(priors)*priors),dtype=torch.float32)
    def f(outputs, labels, num_items_in_batch=None):
        logits=outputs.logits.float(); pinned=torch.cat([logits,logits.new_zeros(len(logits),1)],1)
        if mode=="adjusted": pinned=pinned+logp
        kw={"weight":w} if mode=="weighted" else {"weight":torch.clamp(w/2,min=1.0)} if mode=="half" else {}
        n=num_items_in_batch if num_items_in_batch is not None else len(labels)
        return functional.cross_entropy(pinned,labels,reduction="sum",**kw)/n
    return f
def figures(logits,gold):
    pinned=np.c_[logits,np.zeros(len(logits))]; said=pinned.argmax(1); inside=gold<3
    p,r,f,_=precision_recall_fscore_support(gold,said,labels=range(4),zero_division=0)
    i=marks.index(RARE)
    return {"macro_f1_with_none":f1_score(gold,said,average="macro"),"macro_f1":f1_score(gold[inside],logits[inside].argmax(1),average="macro"),
      "rare_p":p[i],"rare_r":r[i],"rare_f1":f[i],"nll":float(functional.cross_entropy(torch.tensor(pinned),torch.tensor(gold)))}
seed,mode=int(sys.argv[2]),sys.argv[3]; t=time.time()
rows=sample(seed); recipe=read_recipe("small",seed=seed,rows=None)
recipe=recipe.model_copy(update={"rows":None})
few_val=random.Random(1).sample(corpus.validation,400)
c=replace(corpus,train=rows,validation=few_val)
t_=np.array(targets(rows,corpus.labels)); priors=np.bincount(t_,minlength=4)/len(t_)
finetune.pinned_loss=loss(priors,mode) if mode!="plain" else finetune.pinned_loss
base=locate(recipe.base_model)
with tempfile.TemporaryDirectory() as d:
    enc=finetune.save_tokenizer(base,Path(d)/"t",recipe.max_tokens)
    net=finetune.load_network(base,corpus.labels,seed)
    h=finetune.train(net,c,enc,recipe,Path(d)/"c",False)
    logits=finetune.torch_logits(net,enc,corpus.validation).numpy()
gold=np.array(targets(corpus.validation,corpus.labels))
out={"seed":seed,"mode":mode,"priors":priors.round(3).tolist(),**figures(logits,gold),"seconds":round(time.time()-t)}
lines=[out]
if mode=="plain":
    lp=np.log(priors); lines.append({"seed":seed,"mode":"posthoc",**figures(logits-(lp[:3]-lp[3]),gold)})
with open(sys.argv[1],"a") as f:
    for l in lines: f.write(json.dumps({k:(round(v,4) if isinstance(v,float) else v) for k,v in l.items()})+"\n")
