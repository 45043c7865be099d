"""Export: checkpoint → torch modules → ONNX graphs in a bundle, proved against torch. Needs the extra [export]."""
