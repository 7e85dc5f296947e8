# Type `make help`. PYTHON=/path/to/python3 names the Python to use, SLOW=1 runs the slow tests too.
.POSIX:
.PHONY: help demo lab test check docs constraints inventory clean

ENV = HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE
PY = .venv/bin/python
OUT = out
JOBS = 2
ROOMS = vision_toolkit tests
NOTEBOOK = notebooks/01_first_model.ipynb

help: ## say what there is to type
	@sed -n 's/^\([a-z]*\):.*## /  make \1:/p' Makefile | awk -F: '{ printf "%-20s%s\n", $$1, $$2 }'

demo: ## train on a bundled dataset, inspect new parts and write what came out to out/
	@PYTHON="$(PYTHON)" sh scripts/venv.sh base
	@.venv/bin/vision-toolkit demo --out $(OUT)
	@echo "Look into $(OUT)/:" && ls $(OUT)

lab: ## open the first notebook in JupyterLab
	@PYTHON="$(PYTHON)" sh scripts/venv.sh all,test
	@root=; [ "$$(id -u)" != 0 ] || root=--allow-root; \
	JUPYTER_PREFER_ENV_PATH=1 $(PY) -m jupyterlab $$root --ServerApp.root_dir=. $(NOTEBOOK)

test: ## run every test and notebook; SLOW=1 for the slow ones too, ARGS=... for pytest, JOBS=1 one at a time
	@PYTHON="$(PYTHON)" sh scripts/venv.sh all,test
	@slow='not slow'; [ -z "$(SLOW)" ] || slow=; $(ENV) $(PY) -m pytest -q -n $(JOBS) --dist loadfile -m "$$slow" $(ARGS)

check: ## lint, format, types and notebooks, changing nothing
	@PYTHON="$(PYTHON)" sh scripts/venv.sh all,test
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	@find notebooks -name '*.ipynb' -not -path '*/.*' -exec \
	$(PY) -m nbstripout --keep-output --keep-count --keep-id --verify {} +

docs: ## write what follows from the code into docs/
	@PYTHON="$(PYTHON)" sh scripts/venv.sh all,test
	@$(PY) scripts/docs.py && $(PY) scripts/coverage_page.py

constraints: ## write the versions that are installed here to constraints.txt
	@PYTHON="$(PYTHON)" sh scripts/venv.sh all,test
	@$(PY) scripts/constraints.py

inventory: ## write the public names to tests/house/public_names.json
	@PYTHON="$(PYTHON)" sh scripts/venv.sh all,test
	@$(PY) tests/house/test_public_names.py

clean: ## remove what can be made again, but not .venv
	rm -rf $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find vision_toolkit tests -name __pycache__ -type d -prune -exec rm -rf {} +
