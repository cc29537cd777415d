"""Stage 0: trains the tokenizer on the questions and answers of the training clips."""

from data import load_shards
from tokens import render_answer, render_question, train_tokenizer

if __name__ == "__main__":
    shards = load_shards("training/work/clips/train")
    texts = [
        render_question(q["question"]) + render_answer(q["answer"]).replace("</s>", "")
        for shard in shards[:3]
        for row in shard.rows
        for view in row["views"]
        for q in view["questions"]
    ]
    tokenizer = train_tokenizer(texts)
    tokenizer.save("training/work/tokenizer.json")
    print(
        tokenizer.get_vocab_size(),
        tokenizer.encode("USER: 0.0s<image> 10.4s<image>" + texts[0] + "</s>").tokens,
    )
