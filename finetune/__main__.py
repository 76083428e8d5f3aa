"""`python -m finetune`, and so `torchrun -m finetune train`."""

from finetune.cli import main

if __name__ == "__main__":
    main()
