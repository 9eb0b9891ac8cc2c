"""What `import adaptax` adds to jax and optax: shown, not judged; disks differ."""

from adaptax.lab import bench


def test_import_time():
    taken = bench.import_seconds(5)
    print(f"\nimport adaptax: {1e3 * taken.median:.0f} ms on top of jax and optax")
    assert taken.median > 0
