package lab;

import org.camunda.bpm.engine.delegate.JavaDelegate;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

/** One engine with its REST interface; everything else is said on the command line. */
@SpringBootApplication
public class Node {
    public static void main(String[] arguments) {
        SpringApplication.run(Node.class, arguments);
    }

    /** {@code ${slow}}: a service task that sleeps for the process variable {@code ms}, 50 without it. */
    @Bean
    public JavaDelegate slow() {
        return execution -> {
            Object ms = execution.getVariable("ms");
            Thread.sleep(ms == null ? 50 : ((Number) ms).longValue());
        };
    }
}
