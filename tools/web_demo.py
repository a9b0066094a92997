"""A web page for questions about pictures: http://127.0.0.1:7860

    python tools/web_demo.py

The model is the small one of checkpoints/, which knows MiniScenes alone, unless --config and --weights name another.
Only this machine can open the page; --host 0.0.0.0 lets others in, who then share its time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from _launch import describe_weights, draw_large, import_plugin, load_inferencer, parse_with_model, render_scenes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (default: this machine alone)')
    parser.add_argument('--port', type=int, default=7860, help='port (default: 7860)')
    parser.add_argument('--max-mb', type=int, default=20, help='the largest upload (default: 20)')
    parser.add_argument('--max-pixels', type=int, default=16_000_000, help='the largest picture (default: 16000000)')
    return parse_with_model(parser)


def main() -> None:
    args = parse_args()
    import_plugin()
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise SystemExit("web_demo.py: the page needs gradio: pip install 'visionllm-mmdet[web]'") from error

    from visionllm_mm.apis.web_page import build_page
    from visionllm_mm.miniscenes import KEYPOINTS

    inferencer = load_inferencer(args, show_progress=False, max_pixels=args.max_pixels)
    draw_large(inferencer)
    with tempfile.TemporaryDirectory(prefix='visionllm_page_') as folder:
        examples = list(render_scenes(Path(folder), 8))
        classes, note = inferencer.model.dataset_meta['classes'], describe_weights(args.weights)
        page = build_page(inferencer, classes, KEYPOINTS, Path(folder), examples, note)
        page.queue(max_size=64).launch(
            server_name=args.host, server_port=args.port, max_file_size=f'{args.max_mb}mb', share=False, footer_links=[]
        )


if __name__ == '__main__':
    main()
